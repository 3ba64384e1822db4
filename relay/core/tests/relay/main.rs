//! Whole relays against scripted clients and each other, in one thread and without a socket.

mod bounds;
mod closing;
mod endings;
mod fairness;
mod generations;
mod hosts;
mod links;
mod media;
mod room;
mod rooms;
mod world;
