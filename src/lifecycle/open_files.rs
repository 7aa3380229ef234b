//! How many files, connections among them, the process may have open: shells begin with 1,024,
//! systems allow many more.

/// What is open beside the connections of clients: the database's, the bus's, listeners, files.
const BESIDE: u64 = 200;

/// Takes as many as the system allows, and warns if they are too few for so many connections.
pub fn take_what_is_allowed(connections_max: u64) {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) if files < connections_max.saturating_add(BESIDE) => tracing::warn!(
            files,
            connections_max,
            "the system lets this process have fewer files open than http.connections_max: raise its \
             limit (ulimit -Hn, LimitNOFILE=), or lower http.connections_max"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot ask for more open files"),
    }
}
