//! What a recount finds, in words for an operator.

use std::fmt;

use chrono::NaiveDate;
use uuid::Uuid;

use crate::store::read_models::{DailyKey, MonthlyKey, Total};

/// What a booking refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Its wallet.
    Wallet,
    /// Its category.
    Category,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wallet => "wallet",
            Self::Category => "category",
        })
    }
}

/// What of an alert that was to be sent does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// Its status, and whether it has an end and a cause.
    End,
    /// Its status, the attempts and the mail that it went out in.
    Attempts,
    /// It is not the alert that is shown, or its event is told of by another one as well.
    Alert,
    /// What became of it is not what was said of it, once.
    Said,
    /// It was said what became of it, and there is no such delivery.
    SaidOfNothing,
    /// It was said to be shown in the application, and is not there.
    NotShown,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::End => "the status of its delivery does not fit when or why it ended",
            Self::Attempts => "the status of its delivery does not fit the attempts and their mail",
            Self::Alert => {
                "what is sent is not the alert that is shown, or its event is told of twice"
            }
            Self::Said => "what became of its delivery is not what was said of it, once",
            Self::SaidOfNothing => "it was said what became of its delivery, and there is none",
            Self::NotShown => "it was said to be shown, and is not there",
        })
    }
}

/// A difference between what is kept and what the bookings say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The balance is not the opening balance and the wallet's bookings.
    WalletBalance {
        /// Whose wallet.
        user_id: Uuid,
        /// Which wallet.
        wallet_id: Uuid,
        /// The balance.
        kept_minor: i64,
        /// What the bookings make.
        counted_minor: i64,
    },
    /// A cell of the monthly totals; one that is missing is kept as zero.
    MonthlyTotal {
        /// Which cell.
        key: MonthlyKey,
        /// The cell.
        kept: Total,
        /// What the bookings make.
        counted: Total,
    },
    /// A cell of the days' spending; one that is missing is kept as zero.
    DailySpending {
        /// Which cell.
        key: DailyKey,
        /// The cell.
        kept_minor: i64,
        /// What the bookings make.
        counted_minor: i64,
    },
    /// The sum kept of a budget's period.
    BudgetPeriod {
        /// Whose budget.
        user_id: Uuid,
        /// Which budget.
        budget_id: Uuid,
        /// The period's first day.
        period_start: NaiveDate,
        /// The sum.
        kept_minor: i64,
        /// What the bookings make.
        counted_minor: i64,
    },
    /// A sum kept for days that are no period of the budget, or as somebody else's.
    StrayPeriod {
        /// Whose budget.
        user_id: Uuid,
        /// Which budget.
        budget_id: Uuid,
        /// The first day.
        period_start: NaiveDate,
        /// The last day.
        period_end: NaiveDate,
    },
    /// What a goal has is not the sum of its contributions.
    GoalSum {
        /// Whose goal.
        user_id: Uuid,
        /// Which goal.
        goal_id: Uuid,
        /// The sum.
        kept_minor: i64,
        /// What the contributions make.
        counted_minor: i64,
    },
    /// A threshold was crossed, the notifier has handled all there is, and no alert tells of it.
    UntoldCrossing {
        /// Whose budget.
        user_id: Uuid,
        /// Which budget.
        budget_id: Uuid,
        /// The period's first day.
        period_start: NaiveDate,
        /// The threshold, in percent.
        threshold: i16,
        /// The event that the alert should tell of.
        event_id: Uuid,
    },
    /// A booking in a wallet or category that is not its user's.
    Foreign {
        /// Whose booking.
        user_id: Uuid,
        /// Which booking.
        transaction_id: Uuid,
        /// What of it.
        thing: Thing,
        /// The wallet's or category's id.
        thing_id: Uuid,
        /// Whose that is; none when there is no such thing.
        owner_id: Option<Uuid>,
    },
    /// A booking in another currency than its wallet's, which the balance adds up all the same.
    Currency {
        /// Whose booking.
        user_id: Uuid,
        /// Which booking.
        transaction_id: Uuid,
        /// Its currency.
        currency: String,
        /// Its wallet.
        wallet_id: Uuid,
        /// The wallet's currency.
        wallet_currency: String,
    },
    /// The words by which bookings are found are not those of the bookings.
    Words {
        /// Whose.
        user_id: Uuid,
        /// How many there are.
        kept: u64,
        /// How many the bookings have.
        counted: u64,
    },
    /// Splits that do not make their booking.
    Splits {
        /// Whose booking.
        user_id: Uuid,
        /// Which booking.
        transaction_id: Uuid,
        /// The booking's amount.
        amount_minor: i64,
        /// What the splits make.
        splits_minor: i64,
    },
    /// A transfer without its other side, or a part that says another day or another user than its booking, or is of
    /// another kind.
    StrayPart {
        /// Whose part.
        user_id: Uuid,
        /// Of which booking.
        transaction_id: Uuid,
    },
    /// A recurring booking does not fit the rows that say which of its days are done, or is in what is not its user's.
    Recurring {
        /// Whose.
        user_id: Uuid,
        /// Which recurring booking; it may be gone.
        recurring_id: Uuid,
        /// Which day of it, or its first.
        day: NaiveDate,
    },
    /// An alert that was to be sent is not as it must be.
    Delivery {
        /// Whose.
        user_id: Uuid,
        /// The alert; one that is sent by mail alone is not in the list.
        alert_id: Uuid,
        /// What does not fit.
        misfit: Misfit,
    },
}

impl Finding {
    /// Whether a recount puts it right. The others are about the bookings themselves, or about what
    /// was not said: somebody has to look at them.
    #[must_use]
    pub fn can_repair(&self) -> bool {
        match self {
            Self::WalletBalance { .. }
            | Self::MonthlyTotal { .. }
            | Self::DailySpending { .. }
            | Self::BudgetPeriod { .. }
            | Self::StrayPeriod { .. }
            | Self::GoalSum { .. }
            | Self::Words { .. } => true,
            Self::UntoldCrossing { .. }
            | Self::Foreign { .. }
            | Self::Currency { .. }
            | Self::Splits { .. }
            | Self::StrayPart { .. }
            | Self::Recurring { .. }
            | Self::Delivery { .. } => false,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WalletBalance {
                user_id,
                wallet_id,
                kept_minor,
                counted_minor,
            } => write!(
                f,
                "user {user_id}: wallet {wallet_id}: the balance is {kept_minor}, its bookings make \
                 {counted_minor} minor units"
            ),
            Self::MonthlyTotal { key, kept, counted } => write!(
                f,
                "user {}: monthly total of {} {} {}, {}, wallet {}: kept {} in {} bookings, counted {} \
                 in {} (minor units)",
                key.user_id,
                key.month,
                key.currency,
                key.transaction_type,
                Category(key.category_id),
                key.wallet_id,
                kept.amount_minor,
                kept.bookings,
                counted.amount_minor,
                counted.bookings
            ),
            Self::DailySpending {
                key,
                kept_minor,
                counted_minor,
            } => write!(
                f,
                "user {}: spending on {} in {}, {}: kept {kept_minor}, counted {counted_minor} minor \
                 units",
                key.user_id,
                key.date,
                key.currency,
                Category(key.category_id)
            ),
            Self::BudgetPeriod {
                user_id,
                budget_id,
                period_start,
                kept_minor,
                counted_minor,
            } => {
                write!(
                    f,
                    "user {user_id}: budget {budget_id}, period from {period_start}: kept {kept_minor}, \
                     counted {counted_minor} minor units"
                )
            }
            Self::StrayPeriod {
                user_id,
                budget_id,
                period_start,
                period_end,
            } => write!(
                f,
                "user {user_id}: budget {budget_id}: a sum is kept for {period_start} to {period_end}, \
                 which is no period of this budget, or as somebody else's"
            ),
            Self::GoalSum {
                user_id,
                goal_id,
                kept_minor,
                counted_minor,
            } => write!(
                f,
                "user {user_id}: goal {goal_id}: kept {kept_minor}, its contributions make \
                 {counted_minor} minor units"
            ),
            Self::UntoldCrossing {
                user_id,
                budget_id,
                period_start,
                threshold,
                event_id,
            } => write!(
                f,
                "user {user_id}: budget {budget_id}, period from {period_start}: {threshold} % was \
                 crossed and no alert tells of it (event {event_id})"
            ),
            Self::Foreign {
                user_id,
                transaction_id,
                thing,
                thing_id,
                owner_id: Some(owner_id),
            } => {
                write!(
                    f,
                    "user {user_id}: transaction {transaction_id} is in {thing} {thing_id} of user \
                     {owner_id}"
                )
            }
            Self::Foreign {
                user_id,
                transaction_id,
                thing,
                thing_id,
                owner_id: None,
            } => write!(
                f,
                "user {user_id}: transaction {transaction_id} is in {thing} {thing_id}, which does not \
                 exist"
            ),
            Self::Currency {
                user_id,
                transaction_id,
                currency,
                wallet_id,
                wallet_currency,
            } => write!(
                f,
                "user {user_id}: transaction {transaction_id} is in {currency}, its wallet {wallet_id} \
                 in {wallet_currency}"
            ),
            Self::Words {
                user_id,
                kept,
                counted,
            } => write!(
                f,
                "user {user_id}: bookings are found by {kept} words, and have {counted}, not all of them the same"
            ),
            Self::Splits {
                user_id,
                transaction_id,
                amount_minor,
                splits_minor,
            } => write!(
                f,
                "user {user_id}: transaction {transaction_id} is of {amount_minor} minor units, its splits \
                 make {splits_minor}"
            ),
            Self::StrayPart {
                user_id,
                transaction_id,
            } => write!(
                f,
                "user {user_id}: transaction {transaction_id} and its transfer, splits or tags do not say \
                 the same of its day, its kind or whose it is"
            ),
            Self::Recurring {
                user_id,
                recurring_id,
                day,
            } => write!(
                f,
                "user {user_id}: recurring booking {recurring_id}: what is booked of {day} and what is kept of it do \
                 not fit, or it is in what is somebody else's"
            ),
            Self::Delivery {
                user_id,
                alert_id,
                misfit,
            } => write!(f, "user {user_id}: alert {alert_id}: {misfit}"),
        }
    }
}

struct Category(Option<Uuid>);

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, "category {id}"),
            None => f.write_str("no category"),
        }
    }
}
