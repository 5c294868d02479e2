//! One short function a verb: what is asked of the daemon, and how its answer is shown.

mod desk;
mod explain;
mod resync;

use std::path::PathBuf;

use latchd::{
    domain::{At, Uid},
    wire::control::{
        CommandDone, CommandFailed, EventQuery, GrantQuery, OrderQuery, Request, StatusReport, TestOf,
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    args::{Args, BoardVerb, DoorVerb, Events, Explain, Grants, ReaderVerb, SyncVerb, Testing, Timed, Verb},
    batch,
    client::{Client, Patience},
    completions, diagnose, doctor,
    failure::Failure,
    manual,
    moment::{Meaning, Moment},
    monitor,
    output::{Array, Output},
    text::{self, Site, Style, rights::Asked},
    watch, wiring,
};

pub(super) struct Session {
    socket: PathBuf,
    pub(super) client: Client,
    pub(super) out: Output,
    pub(super) style: Style,
    pub(super) json: bool,
    /// Asked once, when first needed.
    site: Option<Site>,
}

/// Does what the command line says.
pub fn run(args: Args, style: Style) -> Result<(), Failure> {
    if let Verb::Doctor { config } = &args.verb {
        return doctor::run(config, &args.socket, args.json, style);
    }
    if let Verb::Diagnose { file, config } = &args.verb {
        return diagnose::run(file, config, &args.socket, args.json);
    }
    if matches!(args.verb, Verb::Monitor) {
        return monitor::run(&args.socket, args.json, style);
    }
    if let Some(done) = without_daemon(&args.verb) {
        return done;
    }
    let verb = checked(args.verb)?;
    let client = Client::connect(&args.socket)?;
    let mut session =
        Session { socket: args.socket, client, out: Output::new(), style, json: args.json, site: None };
    session.verb(verb)?;
    session.out.flush()
}

/// Does a verb that needs no daemon, if it is one.
fn without_daemon(verb: &Verb) -> Option<Result<(), Failure>> {
    let text = if let Verb::Completions { shell, of } = verb {
        Ok(completions::script(*shell, *of))
    } else if let Verb::Man { dir } = verb {
        manual::write(dir).map(|count| format!("{count} pages written to {}\n", dir.display()))
    } else {
        return None;
    };
    Some(text.and_then(|text| {
        let mut out = Output::new();
        out.text(&text)?;
        out.flush()
    }))
}

/// What the command line's grammar can't say, before the daemon is asked.
fn checked(mut verb: Verb) -> Result<Verb, Failure> {
    if let Verb::Explain(Explain { uid: Some(uid), .. }) = &mut verb {
        // Reader apps show separators; the wire has none.
        uid.retain(|c| !matches!(c, ':' | '-' | ' '));
        Uid::parse(uid).map_err(|e| Failure::Usage(format!("--uid: {e}")))?;
    }
    Ok(verb)
}

impl Session {
    fn verb(&mut self, verb: Verb) -> Result<(), Failure> {
        match verb {
            Verb::Status => self.status(),
            Verb::Doors => self.list(Request::Doors, text::doors::doors),
            Verb::Door(verb) => self.door(verb),
            Verb::Readers => self.list(Request::Readers, text::readers::readers),
            Verb::Reader(ReaderVerb::Watch(asked)) => {
                let site = if self.json { None } else { Some(self.site()?) };
                watch::run(&mut self.client, &mut self.out, &asked, site.as_ref(), self.style)
            }
            Verb::Board(BoardVerb::Test { board, test }) => self.test(TestOf::Board(board), &test),
            Verb::Credentials { holder } => {
                let asked = if holder.is_none() { Asked::Everything } else { Asked::Some };
                self.list(Request::Credentials { holder }, move |cards, site, style| {
                    text::rights::credentials(cards, asked, site, style)
                })
            }
            Verb::Credential(verb) => self.credential(verb),
            Verb::Grants(grants) => self.grants(grants),
            Verb::Explain(explain) if explain.batch => batch::run(&mut self.client, &mut self.out),
            Verb::Explain(explain) => self.explain(explain),
            Verb::Events(events) => self.events(events),
            Verb::Journal(verb) => self.journal(verb),
            Verb::Backup { file } => self.backup(&file),
            Verb::Restore { file } => self.restore(&file),
            // Done before there is a session.
            Verb::Monitor | Verb::Diagnose { .. } => Ok(()),
            Verb::Doctor { .. } | Verb::Completions { .. } | Verb::Man { .. } => Ok(()),
            Verb::Log { level } => self.single(Request::Log { filter: level }, text::sync::log),
            Verb::Sync { verb: None } => self.single(Request::Sync, text::sync::sync),
            Verb::Sync { verb: Some(SyncVerb::Resync { wait: false, .. }) } => {
                self.single(Request::SyncResync, text::sync::asked)
            }
            Verb::Sync { verb: Some(SyncVerb::Resync { within, .. }) } => self.resync(within),
        }
    }

    fn test(&mut self, of: TestOf, asked: &Testing) -> Result<(), Failure> {
        let telling = wiring::Telling {
            out: Output::new(),
            style: self.style,
            json: self.json,
            is_asking: false,
            is_told: false,
        };
        wiring::run(Client::connect(&self.socket)?, &self.socket, of, asked, telling)
    }

    fn status(&mut self) -> Result<(), Failure> {
        let answer = self.done(Request::Status, Patience::Prompt)?;
        if self.json {
            return self.out.json(&answer);
        }
        let report: StatusReport = typed(answer)?;
        self.out.text(&text::status::status(&report, self.style))
    }

    /// An answer of one document.
    fn single<T: DeserializeOwned>(
        &mut self,
        request: Request,
        show: impl Fn(&T, &Site, Style) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            let answer = self.done(request, Patience::Prompt)?;
            return self.out.json(&answer);
        }
        // First, so that nothing can fail once a command is done.
        let site = self.site()?;
        let report: T = typed(self.done(request, Patience::Prompt)?)?;
        self.out.text(&show(&report, &site, self.style))
    }

    /// An answer of rows.
    fn list<T: DeserializeOwned>(
        &mut self,
        request: Request,
        show: impl Fn(&[T], &Site, Style) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            let mut array = Array::default();
            let out = &mut self.out;
            self.client.ask(request, Patience::Prompt, &mut |item| array.item(out, &item))?;
            return array.end(out);
        }
        let rows = self.rows(request)?;
        let site = self.site()?;
        self.out.text(&show(&rows, &site, self.style))
    }

    fn rows<T: DeserializeOwned>(&mut self, request: Request) -> Result<Vec<T>, Failure> {
        let mut rows = Vec::new();
        self.client.ask(request, Patience::Prompt, &mut |item| {
            rows.push(typed(item)?);
            Ok(())
        })?;
        Ok(rows)
    }

    pub(super) fn done(&mut self, request: Request, patience: Patience) -> Result<Value, Failure> {
        self.client
            .ask(request, patience, &mut |_| Err(Failure::Unreadable("an item where none belongs".into())))
    }

    pub(super) fn site(&mut self) -> Result<Site, Failure> {
        if let Some(site) = &self.site {
            return Ok(site.clone());
        }
        let report: StatusReport = typed(self.done(Request::Status, Patience::Prompt)?)?;
        Ok(self.site.insert(Site::of(&report)).clone())
    }

    fn instant(&mut self, moment: Option<Moment>, meaning: Meaning) -> Result<Option<At>, Failure> {
        match (moment, moment.and_then(Moment::plain)) {
            (None, _) => Ok(None),
            (Some(_), Some(at)) => Ok(Some(at)),
            (Some(moment), None) => Ok(Some(moment.resolve(&self.site()?, meaning))),
        }
    }

    fn grants(&mut self, asked: Grants) -> Result<(), Failure> {
        let at = self.instant(asked.at, Meaning::Today)?;
        let everything = asked.holder.is_none() && asked.door.is_none() && !asked.active;
        let what = if everything { Asked::Everything } else { Asked::Some };
        let query = GrantQuery { holder: asked.holder, door: asked.door, active: asked.active, at };
        self.list(Request::Grants(query), move |grants, site, style| {
            text::rights::grants(grants, what, site, style)
        })
    }

    fn events(&mut self, asked: Events) -> Result<(), Failure> {
        let since = self.instant(asked.since, Meaning::LastPassed)?;
        let site = if self.json { None } else { Some(self.site()?) };
        let follow = asked.follow;
        let query = EventQuery { since, door: asked.door, kind: asked.kind, follow, limit: asked.limit };
        let patience = if follow { Patience::Endless } else { Patience::Long };
        let (out, style) = (&mut self.out, self.style);
        let mut any = false;
        self.client.ask(Request::Events(query), patience, &mut |event| {
            any = true;
            match &site {
                None => out.json(&event)?,
                Some(site) => out.text(&text::events::event(&event, site, style))?,
            }
            if follow { out.flush() } else { Ok(()) }
        })?;
        if !any && !self.json {
            self.out.text("no events match\n")?;
        }
        Ok(())
    }

    fn door(&mut self, verb: DoorVerb) -> Result<(), Failure> {
        let (action, Timed { target, for_s }) = match verb.order() {
            Ok(order) => order,
            Err(DoorVerb::Test { door, test }) => return self.test(TestOf::Door(door), &test),
            Err(DoorVerb::Show { door }) => return self.single(Request::Door { door }, text::doors::door),
            // Each of those is an order.
            Err(_) => return Ok(()),
        };
        let order = OrderQuery { action: action.as_str().into(), for_s, reason: target.reason };
        match target.door {
            Some(door) => self.single(Request::DoorOrder { door, order }, text::doors::done),
            None => self.all_doors(order),
        }
    }

    /// Every door, whatever becomes of the others.
    fn all_doors(&mut self, order: OrderQuery) -> Result<(), Failure> {
        // First, so that nothing can fail once a command is done.
        let site = self.site()?;
        let (mut asked, mut failed) = (0, 0);
        let (mut array, out, style) = (Array::default(), &mut self.out, self.style);
        let json = self.json;
        self.client.ask(Request::DoorOrderAll(order), Patience::Prompt, &mut |item| {
            asked += 1;
            let is_failed = item.get("error").is_some();
            failed += u64::from(is_failed);
            if json {
                return array.item(out, &item);
            }
            if is_failed {
                let CommandFailed { door, error } = typed(item)?;
                return out.text(&text::doors::not_done(site.door(&door), &error, style));
            }
            out.text(&text::doors::done(&typed::<CommandDone>(item)?, &site, style))
        })?;
        if self.json {
            array.end(&mut self.out)?;
        } else if asked == 0 {
            self.out.text(text::doors::NONE)?;
        }
        self.out.flush()?;
        match failed {
            0 => Ok(()),
            _ => Err(Failure::Some { failed, asked, what: "doors were not commanded" }),
        }
    }
}

pub fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|e| Failure::Unreadable(e.to_string()))
}
