//! The command `mote` with everything beside `run`: named VMs, layers, images. One target, so that what they need is built
//! once.

mod example;
mod fault;
mod image;
mod layer;
mod many;
mod named;
mod terminal;
mod tool;
mod tutorial;
