"""The command `mag`: verbs that talk to the admin API, and run, check and lab."""
