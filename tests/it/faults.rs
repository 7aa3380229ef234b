//! Everything that can fail, fails once: the roles as processes of their own, on the real parts, while
//! people book and listen. In the end nothing acknowledged is lost, each crossing was told once, and
//! `verify` finds nothing.

mod away;
mod killing;
mod redelivering;
mod replicas;
mod resuming;

use wealth_companion::app::Role;

/// The roles in the order in which they are killed: each has something to do although the one before
/// it is not back yet. It takes the others ten seconds to miss a member of a group.
const ONE_AFTER_THE_OTHER: [Role; 3] = [Role::Notifier, Role::Projector, Role::Api];
