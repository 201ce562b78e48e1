"""What the lab shows: each scenario is a list of steps over a running lab."""
