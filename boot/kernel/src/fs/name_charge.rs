//! Who pays for names that stand in memory alone: files made, changed or removed here. A written entry is charged, with the
//! inode and the text behind it, to whoever pays for the file, or for the directory where it marks that a file is gone.
//!
//! Entries are written and forgotten far below whoever has the accounts, so that what is charged and given back is noted
//! here, and settled with the next name that is made, or at the end of a turn.

use crate::account::{AccountId, Accounts, Resource};
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::dentry::{Dentry, DentryId};
use crate::fs::inode::{Inode, Node};
use crate::limits::{MAX_VIEWS, NAME_MEMORY_BYTES, SHORT_NAME_BYTES};
use hal::block::Block;

/// Who pays for an entry, and for how many times [`NAME_MEMORY_BYTES`].
pub(super) type Payer = (AccountId, u8);

/// What is to be charged, or given back where it is negative.
#[derive(Debug)]
pub(super) struct NameCharges {
    list: heapless::Vec<(AccountId, i64), MAX_VIEWS>,
}

impl NameCharges {
    pub(super) const fn new() -> Self {
        Self {
            list: heapless::Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Notes that so many more are charged.
    pub(super) fn note(&mut self, account: AccountId, more: i64) {
        match self.list.iter_mut().find(|known| known.0 == account) {
            Some(known) => known.1 += more,
            None => {
                // There are no more accounts than places: of these one is gone, and took its charges with it.
                let _ = self.list.push((account, more));
            }
        }
    }

    fn settle(&mut self, accounts: &mut Accounts) {
        for (account, more) in &self.list {
            if let Some(account) = accounts.get_mut(*account) {
                match more {
                    0.. => account.add(Resource::Names, more.unsigned_abs()),
                    _ => account.refund(Resource::Names, more.unsigned_abs()),
                }
            }
        }
        self.list.clear();
    }
}

impl<B: Block> Files<B> {
    /// Settles what names cost.
    pub(super) fn settle_names(&mut self, accounts: &mut Accounts) {
        self.name_charges.settle(accounts);
    }

    /// Checks that whoever asks may have one more name.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(super) fn permit_name(&mut self, context: &mut Context<'_>) -> Result<(), Errno> {
        self.settle_names(context.accounts);
        context.charge(Resource::Names, 1)?;
        context.refund(context.account, Resource::Names, 1);
        Ok(())
    }

    /// Charges for an entry that is written from now on.
    pub(super) fn charge_name(&mut self, id: DentryId) {
        let Ok(entry) = self.dentries.get(id) else {
            return;
        };
        let parent = entry
            .parent
            .and_then(|parent| self.dentries.get(parent).ok());
        let directory = parent.and_then(|parent| parent.inode);
        let inode = entry.inode.or(directory).and_then(|id| self.inodes.get(id));
        let Some(Node::Union(union)) = inode.map(|inode| &inode.node) else {
            return;
        };
        // Short texts lie in the entry and in the inode.
        let texts = [entry.name.len(), union.link.len()];
        let longer = texts.into_iter().filter(|&bytes| bytes > SHORT_NAME_BYTES);
        let units = 1 + longer.sum::<usize>().div_ceil(NAME_MEMORY_BYTES) as u8;
        let payer = (union.account, units);
        if let Ok(entry) = self.dentries.get_mut(id) {
            entry.payer = Some(payer);
        }
        self.name_charges.note(payer.0, i64::from(units));
    }

    /// Gives back what was charged for an entry.
    pub(super) fn refund_name(&mut self, id: DentryId) {
        if let Ok(entry) = self.dentries.get_mut(id)
            && let Some((account, units)) = entry.payer.take()
        {
            self.name_charges.note(account, -i64::from(units));
        }
    }
}

const _: () = assert!(size_of::<Dentry>() + size_of::<Inode>() <= NAME_MEMORY_BYTES);
