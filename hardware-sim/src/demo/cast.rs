//! Who appears in the demo, with their cards.

/// Somebody with a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// What the narrative calls them.
    pub name: &'static str,
    /// The holder of the card, to central and the controller.
    pub holder: &'static str,
    /// The card's id.
    pub credential: &'static str,
    /// The card's number.
    pub uid: &'static str,
}

/// Books a meeting room, and comes too early at first.
pub const ADA: Person = Person { name: "Ada", holder: "m-ada", credential: "c-ada", uid: "04A1C0FFEE0101" };
/// Books a desk, and cancels.
pub const BO: Person = Person { name: "Bo", holder: "m-bo", credential: "c-bo", uid: "04A1C0FFEE0202" };
/// Dag's guest.
pub const CHRIS: Person =
    Person { name: "Chris", holder: "m-chris", credential: "c-chris", uid: "04A1C0FFEE0303" };
/// Hosts a meeting.
pub const DAG: Person = Person { name: "Dag", holder: "m-dag", credential: "c-dag", uid: "04A1C0FFEE0404" };
/// Books while the line is down.
pub const EVE: Person = Person { name: "Eve", holder: "m-eve", credential: "c-eve", uid: "04A1C0FFEE0505" };
/// Cleans; comes and goes at any time.
pub const INES: Person =
    Person { name: "Ines", holder: "m-ines", credential: "c-ines", uid: "04A1C0FFEE0606" };
/// Has a card of somewhere else.
pub const STRANGER: Person =
    Person { name: "Stranger", holder: "nobody", credential: "c-none", uid: "04DEADBEEF0707" };

/// Everyone.
pub const PEOPLE: [Person; 7] = [ADA, BO, CHRIS, DAG, EVE, INES, STRANGER];

/// The person of that name, in any case of letters.
#[must_use]
pub fn named(name: &str) -> Option<Person> {
    PEOPLE.into_iter().find(|person| person.name.eq_ignore_ascii_case(name))
}
