//! What only the embedded profile does, with its file and its one writer: not run on PostgreSQL.

mod backup;
mod data_folder;
mod explained;
mod faults;
mod plans;
