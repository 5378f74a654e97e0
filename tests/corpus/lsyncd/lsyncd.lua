-- lsyncd with two targets on one host
settings {
    logfile    = "/var/log/lsyncd/lsyncd.log",
    statusFile = "/var/log/lsyncd/status",
    nodaemon   = true,
    maxProcesses = 4,
}

local base = os.getenv("BASE")

sync {
    default.rsync,
    source  = "/data/www",
    target  = "backup@10.0.0.2::web/www",
    delay   = 5,
    exclude = { "*.tmp", "/cache/", ".git" },
    rsync   = {
        archive = true,
        compress = true,
        hard_links = true,
        password_file = "/etc/rsyncd.pw",
        _extra = { "--bwlimit=2000", "--inplace" },
    },
}

sync {
    default.rsync,
    source = "/data/mail",
    target = "rsync://10.0.0.3:8730/mail",
    delete = "running",
    init   = false,
    excludeFrom = "/etc/lsyncd.exclude",
}

sync { default.direct, source = "/data/local", target = "/mnt/usb/local", delay = 1 }
sync { default.rsyncssh, source = "/data/ssh", host = "h", targetdir = "/x" }
sync { default.rsync, source = base .. "/x", target = "10.0.0.2::web/x" }
