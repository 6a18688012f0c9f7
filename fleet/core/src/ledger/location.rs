//! Where a ledger is: a file, or a database of a PostgreSQL server by URL.
//!
//! A URL with a password is taken from a file or the environment, never from the command line, which every user of the
//! machine can read. TLS is on for every host but this one unless the URL says `sslmode=disable`, and a server's
//! certificate is always verified, its name too, by the authorities in `sslrootcert`. It does not connect.

use std::{
    ffi::OsString,
    fmt, fs, io,
    net::IpAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

use percent_encoding::percent_decode_str;
use postgres::{
    Config,
    config::{Host, SslMode},
};

/// The variable of the environment that may hold the URL.
pub const URL_VARIABLE: &str = "EXAMGATE_LEDGER_URL";

/// How long a server may take to accept a connection, if the URL does not say.
const CONNECT: Duration = Duration::from_secs(5);

/// After how long without an answer of its machine a connection is given up.
const SILENCE: Duration = Duration::from_secs(10);

/// Where a ledger is.
#[derive(Clone, Debug)]
pub enum Location {
    /// An encrypted file.
    File(PathBuf),
    /// A database of a server.
    Postgres(Box<Server>),
}

/// A database of a PostgreSQL server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name in errors and logs: hosts and database, no user, no password.
    pub(super) name: String,
    pub(super) config: Config,
    /// The authorities of its certificate (PEM). `None`: no TLS.
    pub(super) authorities: Option<PathBuf>,
}

/// Why arguments name no ledger.
#[derive(Debug, thiserror::Error)]
pub enum NotALocation {
    /// No argument.
    #[error(
        "which ledger? --ledger FILE, --ledger postgres://…, --ledger-url-file FILE, or {URL_VARIABLE} in the environment"
    )]
    None,
    /// A secret where everybody sees it.
    #[error(
        "a password on the command line can be read by every user of this machine: put the URL into a file of mode 0600 and pass \
         --ledger-url-file, or set {URL_VARIABLE} in the environment file of the service; then change the password"
    )]
    PasswordShown,
    /// The file cannot be read.
    #[error("the file of the ledger's URL, {}, cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read the file.
    #[error("the file of the ledger's URL, {}, can be read by others: chmod 600 it", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// Not a URL of PostgreSQL. What it holds is not repeated: it may be a password.
    #[error(
        "{whence} holds no usable URL of PostgreSQL: {why}. For instance postgres://user:password@host/database?sslrootcert=/etc/ssl/certs/ca-certificates.crt"
    )]
    Url {
        /// Where it was read.
        whence: String,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for Location {
    /// The file, or hosts and database: never a user or a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(server) => f.write_str(&server.name),
        }
    }
}

impl Location {
    /// The ledger that the arguments name: `--ledger`, `--ledger-url-file`, or else what the environment holds.
    ///
    /// # Errors
    /// When none is named, a URL cannot be used, or a password would be seen.
    pub fn named(
        ledger: Option<&Path>,
        url_file: Option<&Path>,
        environment: Option<OsString>,
    ) -> Result<Self, NotALocation> {
        if let Some(ledger) = ledger {
            return match ledger.to_str().filter(|text| is_url(text)) {
                Some(url) => {
                    let server = Server::parse(url, "--ledger")?;
                    let hidden = server.config.get_password().is_none();
                    if hidden { Ok(Self::Postgres(server.into())) } else { Err(NotALocation::PasswordShown) }
                }
                None => Ok(Self::File(ledger.into())),
            };
        }
        if let Some(path) = url_file {
            let failed = |source| NotALocation::File { path: path.into(), source };
            if fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
                return Err(NotALocation::Exposed { path: path.into() });
            }
            let text = fs::read_to_string(path).map_err(failed)?;
            return Ok(Self::Postgres(Server::parse(text.trim(), &path.display().to_string())?.into()));
        }
        let Some(url) = environment else { return Err(NotALocation::None) };
        let why = || NotALocation::Url { whence: URL_VARIABLE.into(), why: "it is not UTF-8".into() };
        Ok(Self::Postgres(Server::parse(url.to_str().ok_or_else(why)?, URL_VARIABLE)?.into()))
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

impl Server {
    fn parse(url: &str, whence: &str) -> Result<Self, NotALocation> {
        let wrong = |why: String| NotALocation::Url { whence: whence.into(), why };
        if !is_url(url) {
            return Err(wrong("it does not begin with postgres://".into()));
        }
        let (authorities, url) = own_parameters(url).map_err(wrong)?;
        let mut config = Config::from_str(&url).map_err(|error| match std::error::Error::source(&error) {
            Some(source) => wrong(source.to_string()),
            None => wrong(error.to_string()),
        })?;
        let (mode, here) = (config.get_ssl_mode(), config.get_hosts().iter().all(is_this_machine));
        let tls = mode == SslMode::Require || mode != SslMode::Disable && !here;
        if tls && authorities.is_none() {
            return Err(wrong(
                "TLS needs sslrootcert=FILE, the authority of the server's certificate (PEM), for instance \
                 sslrootcert=/etc/ssl/certs/ca-certificates.crt"
                    .into(),
            ));
        }
        config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        config
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE)
            .keepalives_interval(SILENCE / 5)
            .keepalives_retries(3);
        config.application_name("examgate");
        let hosts: Vec<_> = config.get_hosts().iter().map(shown).collect();
        let name = format!("{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default());
        Ok(Self { name, config, authorities: authorities.filter(|_| tls) })
    }
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    }
}

fn shown(host: &Host) -> String {
    match host {
        Host::Unix(path) => path.display().to_string(),
        Host::Tcp(name) => name.clone(),
    }
}

/// Takes out what libpq knows and the client library does not: `sslrootcert`, and the modes that verify, which is always done.
fn own_parameters(url: &str) -> Result<(Option<PathBuf>, String), String> {
    let Some((base, query)) = url.split_once('?') else { return Ok((None, url.into())) };
    let (mut authorities, mut rest) = (None, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslrootcert", path)) => {
                let path = percent_decode_str(path).decode_utf8().map_err(|_| "sslrootcert is not UTF-8")?;
                authorities = Some(PathBuf::from(path.into_owned()));
            }
            Some(("sslmode", "verify-ca" | "verify-full")) => rest.push("sslmode=require"),
            Some(("sslmode", "allow")) => rest.push("sslmode=prefer"),
            _ => rest.push(pair),
        }
    }
    Ok((authorities, if rest.is_empty() { base.into() } else { format!("{base}?{}", rest.join("&")) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        match Location::named(None, None, Some(url.into())) {
            Ok(Location::Postgres(server)) => *server,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn tls_is_left_out_only_on_this_machine_or_where_the_url_says_so() {
        for (url, tls) in [
            ("postgres://u:p@db.example.org/examgate", true),
            ("postgresql://u:p@db.example.org/examgate?sslmode=prefer", true),
            ("postgres://u:p@db.example.org/examgate?sslmode=verify-full", true),
            ("postgres://u:p@db.example.org/examgate?sslmode=disable", false),
            ("postgres://u:p@127.0.0.1/examgate", false),
            ("postgres://u:p@127.0.0.1/examgate?sslmode=require", true),
            ("postgres://u:p@localhost,db.example.org/examgate", true),
            ("postgres://u@%2Fvar%2Frun%2Fpostgresql/examgate", false),
        ] {
            let bare = Location::named(None, None, Some(url.into()));
            assert_eq!(matches!(bare, Err(NotALocation::Url { .. })), tls, "without an authority, {url}: {bare:?}");
            let with = server(&format!("{url}{}sslrootcert=ca.pem", if url.contains('?') { '&' } else { '?' }));
            assert_eq!(with.authorities.is_some(), tls, "{url}");
            assert_eq!(with.config.get_ssl_mode(), if tls { SslMode::Require } else { SslMode::Disable }, "{url}");
        }
        let named = server("postgres://u:p@db/x?sslrootcert=%2Fetc%2Fmy%20ca.pem&connect_timeout=3");
        assert_eq!(named.authorities.as_deref(), Some(Path::new("/etc/my ca.pem")));
        assert_eq!(named.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
    }

    #[test]
    fn a_password_is_neither_taken_from_the_command_line_nor_repeated() {
        let shown = Location::named(Some(Path::new("postgres://u:geheim@localhost/x")), None, None);
        assert!(matches!(shown, Err(NotALocation::PasswordShown)), "{shown:?}");
        assert!(matches!(
            Location::named(Some(Path::new("postgres://u@localhost/x")), None, None),
            Ok(Location::Postgres(_))
        ));
        assert!(matches!(Location::named(Some(Path::new("ledger.db")), None, Some("x".into())), Ok(Location::File(_))));
        assert!(matches!(Location::named(None, None, None), Err(NotALocation::None)));
        for bad in ["postgres://u:geheim@db:port/x", "postgres://u:geheim@db/x?nonsense=1", "mysql://u:geheim@db/x", ""]
        {
            let error = Location::named(None, None, Some(bad.into())).expect_err(bad);
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
        assert!(!format!("{:?}", server("postgres://u:geheim@localhost/x")).contains("geheim"));
    }

    #[test]
    fn a_file_of_a_url_is_for_its_owner_only() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("url");
        fs::write(&path, "postgres://u:geheim@localhost/x\n").expect("writable");
        let with = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
            Location::named(None, Some(&path), None)
        };
        assert!(matches!(with(0o640), Err(NotALocation::Exposed { .. })));
        assert!(matches!(with(0o600), Ok(Location::Postgres(server)) if server.name == "localhost/x"));
    }
}
