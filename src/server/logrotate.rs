//! The snippet for logrotate. Pure.

use std::path::Path;

/// Rotates the daemon's log. Nothing has to be told to the daemon: each of its sessions opens the log anew.
#[must_use]
pub fn logrotate(log_file: &Path) -> String {
    let log_file = log_file.display();
    format!(
        "\"{log_file}\" {{\n    weekly\n    rotate 8\n    missingok\n    notifempty\n    compress\n    delaycompress\n    \
         create 0640 root root\n}}\n"
    )
}
