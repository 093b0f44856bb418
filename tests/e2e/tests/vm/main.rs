//! The booted image under QEMU. One target, so that the image and the disks are built once.

mod applet;
mod applets;
mod bomb;
mod boot;
mod conformance;
mod container;
mod debian;
mod disk;
mod family;
mod heap;
mod isolation;
mod limits;
mod load;
mod machine;
mod modify;
mod mote;
mod pause;
mod proc;
mod program;
mod random_calls;
mod reconnect;
mod storm;
mod stream;
mod terminal;
mod unpack;
mod wire;
