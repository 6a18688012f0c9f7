//! Checks the examples in the help texts of a program: every command has one, and each parses with the program's own arguments.
//!
//! Runs no command, so it does not show that the files in an example exist.

use clap::Command;

/// Checks `program` and all its commands that are not hidden.
///
/// # Panics
/// When a command has no example, or an example does not parse: names the command and the line.
pub fn check(program: &Command) {
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        check_command(program, command, command.get_name());
    }
}

fn check_command(program: &Command, command: &Command, path: &str) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = examples(&help, program.get_name());
    let mut below = command.get_subcommands().filter(|command| !command.is_hide_set()).peekable();
    assert!(below.peek().is_some() || !examples.is_empty(), "the help of `{path}` has no example");
    for words in &examples {
        if let Err(error) = program.clone().try_get_matches_from(words) {
            panic!("an example in the help of `{path}` does not parse: {words:?}\n{error}");
        }
    }
    for command in below {
        check_command(program, command, &format!("{path} {}", command.get_name()));
    }
}

/// The indented lines that call `program`, each as words. A backslash at the end joins the next line.
fn examples(help: &str, program: &str) -> Vec<Vec<String>> {
    let joined = help.replace("\\\n", " ");
    let called = joined.lines().filter(|line| line.starts_with("  ")).map(words);
    called.filter(|words| words.first().is_some_and(|first| first == program)).collect()
}

/// Splits a line as a shell does, up to the first pipe or operator. Quotes join words; nothing is expanded.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.trim().chars() {
        match (c, quote) {
            (_, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('|' | '&' | ';' | '>', None) => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn program(example: &'static str) -> Command {
        let run = Command::new("run").arg(Arg::new("title").long("title")).after_help(example);
        Command::new("prog").subcommand(run)
    }

    #[test]
    fn good_examples_pass() {
        check(&program(
            "Examples:\n  prog run --title 'two words' | jq .\n  prog run \\\n    --title \"x\" && rm x\n\nprog is a program.",
        ));
    }

    #[test]
    #[should_panic(expected = "no example")]
    fn a_command_without_an_example_is_named() {
        check(&program("Runs prog."));
    }

    #[test]
    #[should_panic(expected = "does not parse")]
    fn an_example_with_a_wrong_option_is_named() {
        check(&program("Example:\n  prog run --name x"));
    }
}
