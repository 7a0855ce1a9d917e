"""From which size on does one mechanism cost more than another?"""
