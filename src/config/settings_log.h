/* The members of "log", which says what log a node follows, in the form of settings.h; their names
 * are "log.nats" and so on. */
TEXT(nats, NULL, RESTART,
     "the brokers of the log, such as nats://a:4222, tls://b:4222; with it and stream the server "
     "is a node, and its mutations come from the log alone",
     .check = check_brokers, .list = true)
TEXT(stream, NULL, RESTART, "the name of the JetStream stream that is the log",
     .check = check_stream)
TEXT(subject, NULL, RESTART,
     "the subject to which the node publishes what it is asked to write; not needed where the "
     "stream "
     "has one alone",
     .check = check_subject)
TEXT(credentials_file, NULL, RESTART, "a file with the credentials for the brokers (.creds)")
NUMBER(max_lag_seconds, 30, 1, DAY, RESTART,
       "while the node is behind the log by more than this, /ready says so with 503")
NUMBER(max_write_seconds, 10, 1, 300, RESTART,
       "a request that writes and that the node has not read in the log within this gets "
       "log-unavailable or node-behind")
TEXT(from, NULL, RESTART,
     "in place of a stream: the server whose changes this one copies, as a replica, such as "
     "https://db.example.org",
     .check = check_source)
TEXT(token_file, NULL, RESTART,
     "the file with the token for the server in log.from, which needs the scope admin")
TEXT(
    ca_file, NULL, RESTART,
    "the authorities to trust for the brokers, or for the server in log.from (PEM), instead of the "
    "system's")
