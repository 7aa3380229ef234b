//! What the household does with its money: every month, and once a year.

use std::ops::RangeInclusive;

use super::household::Kind;

/// On which days of a month something happens.
#[derive(Debug)]
pub(super) enum Days {
    /// On these; no later than the 28th, so that every month has them.
    On(&'static [u32]),
    /// So many times, on any days.
    Any(usize),
}

/// Something that happens again and again.
#[derive(Debug)]
pub(super) struct Habit {
    pub(super) wallet: &'static str,
    pub(super) kind: Kind,
    pub(super) category: &'static str,
    pub(super) description: &'static str,
    pub(super) payees: &'static [&'static str],
    pub(super) days: Days,
    pub(super) cents: RangeInclusive<u64>,
}

/// Every month, about thirty bookings.
pub(super) const HABITS: [Habit; 17] = [
    Habit {
        wallet: "Checking",
        kind: Kind::Income,
        category: "Salary",
        description: "Ada's salary",
        payees: &["Northwind Mills"],
        days: Days::On(&[1]),
        cents: 245_000..=245_000,
    },
    Habit {
        wallet: "Checking",
        kind: Kind::Income,
        category: "Salary",
        description: "Ben's pay",
        payees: &["City Library"],
        days: Days::On(&[15]),
        cents: 158_000..=184_000,
    },
    Habit {
        wallet: "Checking",
        kind: Kind::Income,
        category: "Interest",
        description: "Interest",
        payees: &["Harbour Bank"],
        days: Days::On(&[28]),
        cents: 610..=940,
    },
    Habit {
        wallet: "Checking",
        kind: Kind::Expense,
        category: "Rent & Mortgage",
        description: "Rent",
        payees: &["Harbour Homes"],
        days: Days::On(&[1]),
        cents: 165_000..=165_000,
    },
    Habit {
        wallet: "Checking",
        kind: Kind::Expense,
        category: "Insurance",
        description: "Household insurance",
        payees: &["Lighthouse Mutual"],
        days: Days::On(&[3]),
        cents: 8_900..=8_900,
    },
    Habit {
        wallet: "Checking",
        kind: Kind::Expense,
        category: "Utilities",
        description: "Power and gas",
        payees: &["River Energy"],
        days: Days::On(&[5]),
        cents: 6_200..=14_800,
    },
    Habit {
        wallet: "Checking",
        kind: Kind::Expense,
        category: "Utilities",
        description: "Internet",
        payees: &["Northline"],
        days: Days::On(&[12]),
        cents: 5_500..=5_500,
    },
    Habit {
        wallet: "Credit card",
        kind: Kind::Expense,
        category: "Subscriptions",
        description: "Films",
        payees: &["Reel"],
        days: Days::On(&[7]),
        cents: 1_599..=1_599,
    },
    Habit {
        wallet: "Credit card",
        kind: Kind::Expense,
        category: "Subscriptions",
        description: "Music",
        payees: &["Octave"],
        days: Days::On(&[19]),
        cents: 1_099..=1_099,
    },
    Habit {
        wallet: "Checking",
        kind: Kind::Expense,
        category: "Transport",
        description: "Monthly pass",
        payees: &["City Transit"],
        days: Days::On(&[2]),
        cents: 6_400..=6_400,
    },
    Habit {
        wallet: "Credit card",
        kind: Kind::Expense,
        category: "Groceries",
        description: "Groceries",
        payees: &[
            "Corner Market",
            "Green Basket",
            "Baker's Dozen",
            "Farmers' Hall",
        ],
        days: Days::Any(8),
        cents: 2_800..=7_600,
    },
    Habit {
        wallet: "Credit card",
        kind: Kind::Expense,
        category: "Restaurants",
        description: "Eating out",
        payees: &["Trattoria Lina", "Noodle Bar", "The Old Mill", "Taco Stand"],
        days: Days::Any(4),
        cents: 1_900..=6_400,
    },
    Habit {
        wallet: "Cash",
        kind: Kind::Expense,
        category: "Transport",
        description: "Taxi",
        payees: &["City Cab", "Night Ride"],
        days: Days::Any(3),
        cents: 350..=2_400,
    },
    Habit {
        wallet: "Credit card",
        kind: Kind::Expense,
        category: "Shopping",
        description: "Shopping",
        payees: &["Paper & Ink", "Tool Shed", "Thread & Needle"],
        days: Days::Any(2),
        cents: 2_000..=11_000,
    },
    Habit {
        wallet: "Credit card",
        kind: Kind::Expense,
        category: "Entertainment",
        description: "Tickets",
        payees: &["Grand Cinema", "Blue Note", "City Museum"],
        days: Days::Any(2),
        cents: 1_200..=4_800,
    },
    Habit {
        wallet: "Checking",
        kind: Kind::Expense,
        category: "Health",
        description: "Pharmacy and doctor",
        payees: &["Elm Street Pharmacy", "Dr. Okafor"],
        days: Days::Any(1),
        cents: 1_200..=6_500,
    },
    Habit {
        wallet: "Cash",
        kind: Kind::Expense,
        category: "Other",
        description: "Odds and ends",
        payees: &["Flea market", "Kiosk"],
        days: Days::Any(1),
        cents: 500..=2_500,
    },
];

/// Once a year: the month of the year, and what happens then.
pub(super) const OCCASIONS: [(u32, Habit); 4] = [
    (
        4,
        Habit {
            wallet: "Checking",
            kind: Kind::Income,
            category: "Other income",
            description: "Tax refund",
            payees: &["Tax office"],
            days: Days::On(&[20]),
            cents: 38_000..=62_000,
        },
    ),
    (
        7,
        Habit {
            wallet: "Credit card",
            kind: Kind::Expense,
            category: "Travel",
            description: "Summer by the sea",
            payees: &["Coastline Rail", "Hotel Miramar", "Boat Hire"],
            days: Days::Any(4),
            cents: 14_000..=52_000,
        },
    ),
    (
        9,
        Habit {
            wallet: "Checking",
            kind: Kind::Expense,
            category: "Education",
            description: "Evening course",
            payees: &["City College"],
            days: Days::On(&[8]),
            cents: 24_500..=24_500,
        },
    ),
    (
        12,
        Habit {
            wallet: "Credit card",
            kind: Kind::Expense,
            category: "Gifts",
            description: "Presents",
            payees: &["Toy Chest", "Paper & Ink", "Record Shop"],
            days: Days::Any(4),
            cents: 2_500..=9_500,
        },
    ),
];
