"""What the servers in Python share."""

import os
import pwd


def become(name):
    """Gives up the rights of root for those of an account, in its home."""
    account = pwd.getpwnam(name)
    os.initgroups(name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.chdir(account.pw_dir)
