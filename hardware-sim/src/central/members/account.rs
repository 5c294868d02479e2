//! Credits and what is billed: a month's account of a member, added up from the bookings.

use super::books::{Booking, Books, Member};
use super::calendar::Month;
use std::fmt;

/// A member's month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose.
    pub member: String,
    /// Which.
    pub month: Month,
    /// Credits the plan includes.
    pub included: u32,
    /// Credits spent, refunds taken off.
    pub spent: u32,
    /// What one beyond the included costs.
    pub price: u32,
    /// Of the price.
    pub currency: String,
}

impl Account {
    /// Included credits that are left.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.included.saturating_sub(self.spent)
    }

    /// Credits beyond the included.
    #[must_use]
    pub fn billed(&self) -> u32 {
        self.spent.saturating_sub(self.included)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { member, month, included, spent, price, currency } = self;
        let (left, billed) = (self.left(), self.billed());
        write!(f, "{member} in {month}: {spent} credits spent of {included} included, {left} left")?;
        if billed > 0 {
            let sum = u64::from(billed) * u64::from(*price);
            write!(f, "; {billed} beyond them are billed at {price} {currency}: {sum} {currency}")?;
        }
        Ok(())
    }
}

impl Books {
    /// What a member has spent in a month.
    #[must_use]
    pub fn account(&self, member: &Member, month: Month) -> Account {
        let plan = self.site.plan(member.plan.as_deref());
        let spent = self.charged(&member.id, month).map(|booking| booking.credits).sum();
        Account {
            member: member.id.clone(),
            month,
            included: plan.map_or(0, |plan| plan.credits_a_month),
            spent,
            price: plan.map_or(0, |plan| plan.credit_price),
            currency: plan.map_or(String::new(), |plan| plan.currency.clone()),
        }
    }

    /// The bookings a month's account is made of.
    pub fn charged<'a>(&'a self, member: &'a str, month: Month) -> impl Iterator<Item = &'a Booking> {
        let of_it = move |booking: &&Booking| booking.member == member && booking.month() == month;
        self.bookings.values().filter(of_it).filter(|booking| booking.is_charged())
    }
}
