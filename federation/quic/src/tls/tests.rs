//! Handshakes in memory: who is accepted, and with which key exchange.
