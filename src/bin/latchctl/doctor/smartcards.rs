//! pcscd: whether it is there, lets us in, and has the readers that the configuration names.

use latchd::daemon::config::ReaderDriver;
use pcsc::{Context, Error, Scope};
use wildmatch::WildMatch;

use super::{Finding, Patient};

const CHECK: &str = "pcscd";
const SOCKET: &str = "/run/pcscd/pcscd.comm";
const INSTALL: &str = "apt-get install pcscd libccid; systemctl enable --now pcscd.socket";

pub fn look(patient: &Patient) -> Vec<Finding> {
    let wanted = wanted(patient);
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut found = installed(patient);
    let listed = Context::establish(Scope::User).and_then(|context| context.list_readers_owned());
    let there = match listed {
        Ok(readers) => Ok(readers.iter().map(|name| name.to_string_lossy().into_owned()).collect()),
        Err(Error::NoReadersAvailable) => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    found.extend(judge(patient, &wanted, there));
    found
}

/// Readers by id, and the names that they go by.
fn wanted(patient: &Patient) -> Vec<(String, String)> {
    let readers = patient.config.iter().flat_map(|config| &config.readers);
    let pcsc = readers.filter_map(|reader| match &reader.driver {
        ReaderDriver::Pcsc { name } => Some((reader.id.value.to_string(), name.clone())),
        ReaderDriver::Pn532 { .. } | ReaderDriver::Osdp { .. } => None,
    });
    pcsc.collect()
}

fn installed(patient: &Patient) -> Vec<Finding> {
    let mut found = Vec::new();
    if !patient.file("/usr/sbin/pcscd").exists() {
        found.push(Finding::problem(
            CHECK,
            "pcscd is not installed, and readers are to be had from it",
            INSTALL,
        ));
    } else if !patient.file("/usr/lib/pcsc/drivers/ifd-ccid.bundle").exists() {
        let advice = "apt-get install libccid, then plug the reader in anew";
        found.push(Finding::warning(CHECK, "the driver for USB readers (libccid) is not installed", advice));
    }
    // From 2.0 on, as in Debian 13, pcscd asks polkit about whoever has no seat: a service has none.
    let asks_polkit = patient.file("/usr/share/polkit-1/actions/org.debian.pcsc-lite.policy").exists()
        && patient.file("/usr/lib/polkit-1/polkitd").exists();
    if asks_polkit && !has_rule(patient) {
        found.push(Finding::warning(
            CHECK,
            "pcscd asks polkit whom to let in, and no rule there speaks of it: the service may be turned away",
            "let the user latchd have org.debian.pcsc-lite.access_pcsc and .access_card in /etc/polkit-1/rules.d",
        ));
    }
    found
}

fn has_rule(patient: &Patient) -> bool {
    let folders = ["/etc/polkit-1/rules.d", "/usr/share/polkit-1/rules.d"];
    let entries =
        folders.iter().flat_map(|path| std::fs::read_dir(patient.file(path)).into_iter().flatten().flatten());
    let mut texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    texts.any(|text| text.contains("org.debian.pcsc-lite"))
}

fn judge(patient: &Patient, wanted: &[(String, String)], there: Result<Vec<String>, Error>) -> Vec<Finding> {
    let there = match there {
        Ok(there) => there,
        Err(Error::SecurityViolation) => {
            return vec![Finding::note(
                CHECK,
                "pcscd turns whoever asks here away (polkit), so its readers were not seen",
            )];
        }
        Err(Error::NoService) => {
            let socket = patient.file(SOCKET).exists();
            let why =
                if socket { "does not answer" } else { "is not running: there is no /run/pcscd/pcscd.comm" };
            let advice = "systemctl enable --now pcscd.socket; systemctl status pcscd";
            return vec![Finding::problem(CHECK, format!("pcscd {why}"), advice)];
        }
        Err(error) => {
            let advice = "systemctl restart pcscd; journalctl -u pcscd";
            return vec![Finding::problem(CHECK, format!("pcscd can't be asked: {error}"), advice)];
        }
    };
    let names =
        if there.is_empty() { "no reader at all".to_owned() } else { format!("only {}", there.join(", ")) };
    wanted
        .iter()
        .map(|(id, name)| match there.iter().find(|reader| WildMatch::new(name).matches(reader)) {
            Some(reader) => Finding::good(CHECK, format!("reader {id}: {reader}")),
            None => Finding::problem(
                CHECK,
                format!("reader {id}: pcscd has no reader named {name:?}, {names}"),
                "is it plugged in (lsusb), held by the kernel (see devices), or named otherwise (pcsc_scan)?",
            ),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    fn with_reader(files: &[(&str, &str)]) -> (tempfile::TempDir, Patient) {
        let reader = "[[readers]]\nid = \"p\"\ndoor = \"d\"\ndriver = \"pcsc\"\nname = \"ACS ACR1252*\"\n";
        patient(files, Some(&format!("{SITE}{reader}")))
    }

    #[test]
    fn a_reader_is_found_by_the_name_it_goes_by_or_told_with_those_that_are_there() {
        let (_folder, patient) = with_reader(&[]);
        let wanted = wanted(&patient);
        let found = |there: Result<Vec<String>, Error>| said(&judge(&patient, &wanted, there)).join("\n");
        let there = vec!["ACS ACR1252 Dual Reader 00 00".to_owned()];
        assert_eq!(found(Ok(there)), "Good pcscd: reader p: ACS ACR1252 Dual Reader 00 00");
        assert!(found(Ok(vec!["HID".into()])).contains("no reader named \"ACS ACR1252*\", only HID"));
        assert!(found(Ok(Vec::new())).contains("no reader at all"));
        assert!(found(Err(Error::NoService)).contains("is not running"));
        assert!(found(Err(Error::SecurityViolation)).starts_with("Note"));
    }

    #[test]
    fn what_is_not_installed_and_a_polkit_without_a_rule_are_found() {
        let found = |files: &[(&str, &str)]| {
            let (_folder, patient) = with_reader(files);
            said(&installed(&patient)).join("\n")
        };
        assert!(found(&[]).contains("pcscd is not installed"));
        let pcscd = ("usr/sbin/pcscd", "");
        assert!(found(&[pcscd]).contains("libccid"));
        let ccid = ("usr/lib/pcsc/drivers/ifd-ccid.bundle/x", "");
        assert_eq!(found(&[pcscd, ccid]), "");
        let policy = ("usr/share/polkit-1/actions/org.debian.pcsc-lite.policy", "");
        let polkit = ("usr/lib/polkit-1/polkitd", "");
        assert!(found(&[pcscd, ccid, policy, polkit]).contains("no rule there speaks of it"));
        let rule =
            ("etc/polkit-1/rules.d/50-latchd.rules", "action.id == 'org.debian.pcsc-lite.access_pcsc'");
        assert_eq!(found(&[pcscd, ccid, policy, polkit, rule]), "");
        let (_folder, none) = patient(&[], Some(SITE));
        assert_eq!(look(&none), []);
    }
}
