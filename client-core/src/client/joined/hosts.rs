//! What hosts do: for whom the application asks, and whether it may.

use conclave_federation::io::Outlet;

use super::{super::core::Ctx, Joined, Next};
use crate::api::{Command, Warning};

impl Joined {
    /// The application wants the room changed.
    pub(in crate::client) fn govern(&mut self, command: &Command, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let Some(group) = self.seat.group() else {
            ctx.core.warn(Warning::NotInRoom);
            return Next::Stay;
        };
        let votes = matches!(command, Command::Vote { .. });
        ctx.core.warn(if group.is_host(group.me()) || votes { Warning::NotChanged } else { Warning::NotHost });
        Next::Stay
    }
}
