package process

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Unchanged as a user or group id keeps the one that the process has.
const Unchanged = -1

// ChrootAuto asks for an empty directory that has no name.
const ChrootAuto = "auto"

// Identity is what a process becomes once it has opened everything that needs privileges.
type Identity struct {
	Chroot string // new root directory, ChrootAuto, or empty to keep the root
	UID    int    // Unchanged, or a user id
	GID    int    // Unchanged, or a group id
}

// Assume takes the identity on, for every thread of the process. There is no way back; after an error
// the process is part of the way and must end. warning tells of what could not be dropped but is not fatal.
func (id Identity) Assume() (warning, err error) {
	if id.Chroot != "" {
		if err = enterRoot(id.Chroot); err != nil {
			return nil, err
		}
	}
	if id.GID != Unchanged {
		warning = dropGroups()
		if err = unix.Setgid(id.GID); err != nil {
			return warning, fmt.Errorf("set gid %d: %w", id.GID, err)
		}
	}
	if id.UID != Unchanged {
		if err = unix.Setuid(id.UID); err != nil {
			return warning, fmt.Errorf("set uid %d: %w", id.UID, err)
		}
	}
	return warning, nil
}

func dropGroups() error {
	groups, err := unix.Getgroups()
	if err == nil && len(groups) == 0 {
		return nil
	}
	if err = unix.Setgroups(nil); err != nil {
		return fmt.Errorf("drop supplementary groups: %w", err)
	}
	return nil
}

func enterRoot(dir string) error {
	_, _ = time.Now().Zone() // reads the time zone's file, which the new root may lack
	target := dir
	if dir == ChrootAuto {
		temporary, err := os.MkdirTemp("", "penstock-root-")
		if err != nil {
			return fmt.Errorf("create empty root: %w", err)
		}
		err = unix.Chdir(temporary)
		if removeErr := os.Remove(temporary); err == nil {
			err = removeErr
		}
		if err != nil {
			return fmt.Errorf("enter empty root: %w", err)
		}
		target = "."
	}
	if err := unix.Chroot(target); err != nil {
		return fmt.Errorf("chroot %s: %w", dir, err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("enter root %s: %w", dir, err)
	}
	return nil
}
