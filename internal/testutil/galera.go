package testutil

import (
	"fmt"
	"os"
	"testing"
)

// galeraLibrary is where Debian's package galera-4 puts the replication.
const galeraLibrary = "/usr/lib/galera/libgalera_smm.so"

// galeraTransfer is how a node gets the data of another one on this machine: a copy of its files. Debian's
// scripts for that need programs that may not be installed.
const galeraTransfer = `#!/bin/sh
set -e
share=%s
while [ $# -gt 0 ]; do
  case "$1" in
    --role) role=$2 ;;
    --datadir) data=$2 ;;
    --gtid) gtid=$2 ;;
    --bypass) bypass=yes ;;
  esac
  shift
done
if [ "$role" = donor ]; then
  if [ -z "$bypass" ]; then
    echo "flush tables"
    while [ ! -s "$data/tables_flushed" ]; do sleep 0.02; done
    rm "$data/tables_flushed"
    cp -a "$data/." $share/copy
  fi
  echo "$gtid" >$share/told
  mv $share/told $share/gtid
  echo "done $gtid"
else
  rm -rf $share/copy $share/gtid
  echo "ready 127.0.0.1:1"
  while [ ! -e $share/gtid ]; do sleep 0.02; done
  if [ -d $share/copy ]; then
    rm -f $share/copy/galera.cache $share/copy/grastate.dat $share/copy/gvwstate.dat $share/copy/pid
    cp -a $share/copy/. "$data"
  fi
  cat $share/gtid
fi
`

// StartGalera starts a cluster of n nodes, and returns once all of them listen; the last ones may still be about to be
// synced. It must not run in a parallel test.
func StartGalera(tb testing.TB, n int) []*MariaDB {
	tb.Helper()
	if _, err := os.Stat(galeraLibrary); err != nil {
		tb.Skipf("%s is not installed (package galera-4)", galeraLibrary)
	}
	dir := TempDir(tb)
	script := WriteFile(tb, dir, "wsrep_sst_copy", fmt.Sprintf(galeraTransfer, dir))
	if err := os.Chmod(script, 0o755); err != nil {
		tb.Fatal(err)
	}
	tb.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	var nodes []*MariaDB
	join := ""
	for i := range n {
		port := FreePorts(tb, 2)
		nodes = append(nodes, StartMariaDB(tb, "--wsrep-on=1", "--wsrep-provider="+galeraLibrary, "--binlog-format=ROW",
			"--innodb-autoinc-lock-mode=2", fmt.Sprintf("--server-id=%d", i+1), "--wsrep-cluster-name=test", "--wsrep-sst-method=copy",
			"--wsrep-cluster-address=gcomm://"+join, fmt.Sprintf("--wsrep-node-name=n%d", i+1), "--wsrep-node-address=127.0.0.1",
			fmt.Sprintf("--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:%d;ist.recv_addr=127.0.0.1:%d;gcache.size=16M", port, port+1)))
		if join == "" {
			join = Loopback(port)
		}
	}
	return nodes
}
