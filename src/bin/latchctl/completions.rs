//! `completions SHELL`: what a shell completes, out of the same definition that reads the command line.

use clap::{Command, CommandFactory};
use clap_complete::{generate, shells};
use latchd::daemon::arguments::Arguments;

use super::args::{Args, Program, Shell};

/// The script that a shell reads.
pub fn script(shell: Shell, of: Program) -> String {
    let (mut command, name): (Command, _) = match of {
        Program::Latchctl => (Args::command(), "latchctl"),
        Program::Latchd => (Arguments::command(), "latchd"),
    };
    let mut bytes = Vec::new();
    match shell {
        Shell::Bash => generate(shells::Bash, &mut command, name, &mut bytes),
        Shell::Zsh => generate(shells::Zsh, &mut command, name, &mut bytes),
        Shell::Fish => generate(shells::Fish, &mut command, name, &mut bytes),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command as Process;

    use super::*;

    #[test]
    fn every_shell_is_told_of_every_verb_of_both_programs() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            for (of, command) in
                [(Program::Latchctl, Args::command()), (Program::Latchd, Arguments::command())]
            {
                let script = script(shell, of);
                for verb in command.get_subcommands() {
                    assert!(script.contains(verb.get_name()), "{shell:?} {of:?}: {}", verb.get_name());
                }
            }
        }
    }

    /// Bash is where tests run; the others' scripts are of the same making.
    #[test]
    fn bash_completes_verbs_and_their_verbs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latchctl.bash");
        std::fs::write(&path, script(Shell::Bash, Program::Latchctl)).unwrap();
        let complete = |words: &str| {
            let typed: Vec<&str> = words.split(' ').collect();
            let last = typed.len() - 1;
            let ask = format!(
                "set -eu; source {path:?}; COMP_WORDS=({words}); COMP_WORDS[{last}]='{}'; COMP_CWORD={last}; \
                 _latchctl latchctl '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
                typed[last],
                typed[last],
                typed[last - 1]
            );
            let said = Process::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
            assert!(said.status.success(), "{said:?}");
            String::from_utf8(said.stdout).unwrap()
        };
        assert_eq!(complete("latchctl stat"), "status\n");
        assert_eq!(complete("latchctl door lock-down-"), "lock-down-release\n");
        assert_eq!(complete("latchctl explain --dir"), "--direction\n");
    }
}
