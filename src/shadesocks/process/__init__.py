"""Floor 6: what a process is to its system.

    pid_file  the file that says which process runs, and is locked by it
    daemon    into the background, and whoever started it is told how that went; out of it again
    log_file  a log that may be moved away
    user      the rights of root, given up for good

Nothing here knows what is served, and nothing speaks to a person: errors are sentences, and the commands say them.
"""
