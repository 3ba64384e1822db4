//! What the configuration names is read before anything is touched; the clock turns what is shown.
