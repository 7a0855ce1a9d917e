"""What does a measuring process do when it is asked? Its own side of the pipe."""
