package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// CheckPIDFile tells whether WritePIDFile could write the file, without touching one that is there.
func CheckPIDFile(path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return fmt.Errorf("create pid file: %w", err)
	}
	file.Close()
	if err = os.Remove(file.Name()); err != nil {
		return fmt.Errorf("remove test of pid file: %w", err)
	}
	return nil
}

// WritePIDFile replaces the file at path by one that names the given processes, one per line. It is
// not removed at the end of the process: a successor may have written its own by then.
func WritePIDFile(path string, pids ...int) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("replace pid file: %w", err)
	}
	var text []byte
	for _, pid := range pids {
		text = strconv.AppendInt(text, int64(pid), 10)
		text = append(text, '\n')
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("create pid file: %w", err)
	}
	_, err = file.Write(text)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return nil
}
