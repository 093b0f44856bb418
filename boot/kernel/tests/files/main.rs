//! Files over disks made of bytes: what programs see of ext4, of changes in memory, and of what goes wrong below.

mod bed;
mod changes;
mod directories;
mod ext4;
mod locks;
mod machine;
mod memory;
mod mounts;
mod names;
mod pipes;
mod shares;
mod sockets;
mod teardown;
mod viewers;
mod views;

#[global_allocator]
static HEAP: fakes::alloc::Counting = fakes::alloc::Counting::new();
