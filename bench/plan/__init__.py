"""What is to be measured? Cases, plans, requests and the run's directory."""
