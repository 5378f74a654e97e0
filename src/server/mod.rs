//! A backup server for the targets of a configuration: its `rsyncd.conf`, its passwords, its log rotation. Pure but for
//! [`passwords`] being given what is there.

pub mod apart;
pub mod environment;
mod logrotate;
pub mod passwords;
pub mod plan;
mod rsyncd_conf;
pub mod safety;

pub use logrotate::logrotate;
pub use rsyncd_conf::rsyncd_conf;
