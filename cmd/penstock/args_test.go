package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNormalise(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "run"},
		{"-f a.cfg", "run --file=a.cfg"},
		{"-f a,b.cfg -f dir -- -c d", "run --file=a,b.cfg --file=dir --file=-c --file=d"},
		{"--", "run"},
		{"-D -p /run/p.pid -f x", "run --daemon --pidfile=/run/p.pid --file=x"},
		{"-d -f cfg", "run --debug --file=cfg"},
		{"-db -dr -dW -dD -q -V", "run --foreground --ignore-resolution --zero-warning --diagnostic --quiet --verbose"},
		{"-W -d -S fd@5 -L A -f cfg -p pid", "run --master-worker --debug --master-cli=fd@5 --local-peer=A --file=cfg --pidfile=pid"},
		{"-Ws -f x", "run --master-worker --file=x"},
		{"-n 100 -N 50 -m 256 -C /etc -L me", "run --maxconn=100 --proxy-maxconn=50 --memory=256 --directory=/etc --local-peer=me"},
		{"-n abc -N 12x -m -5", "run --maxconn=0 --proxy-maxconn=12 --memory=-5"},
		{"-n 99999999999999999999", "run --maxconn=2147483647"},
		{"-f a.cfg -sf 1 2 3 -f b.cfg", "run --file=a.cfg --finish=1 --finish=2 --finish=3 --file=b.cfg"},
		{"-f a.cfg -st 44", "run --file=a.cfg --terminate=44"},
		{"-sf -f a", "run --file=a"},
		{"-dS -dR -de -dF -dZ", "run --no-splice --no-reuseport --no-epoll --no-splice --no-splice"},
		{"-dp -dG -dV -dT -dk -dv -dI -dL -dM -dM0x50 -dMno-merge -dA -dAx", "run"},
		{"-dKall -dC -dC[key],3 -dc -4 -x /run/sock", "run --ignored=-dK --ignored=-dC --ignored=-dC --ignored=-dc --ignored=-4 --sockets=/run/sock"},
		{"-dt h2:level -f x", "run --ignored=-dt --file=x"},
		{"-dtall -f x", "run --ignored=-dt --file=x"},
		{"-c -f a.cfg", "check --terse --file=a.cfg"},
		{"-Vc -f a.cfg", "check --verbose --terse --file=a.cfg"},
		{"-c -c -cVq -f a", "check --terse --verbose --quiet --file=a"},
		{"-Dq", "run --daemon --quiet"},
		{"-v", "version --form=first"},
		{"-vv -foo", "version --form=full"},
		{"-f x -vq", "version --form=bare"},
		{"-vqs", "version --form=short"},
		{"-vqb", "version --form=branch"},
		{"-cc feature(THREAD)", "condition --expression=feature(THREAD)"},
		{"-c -cc a -f x -cc b", "condition --expression=b"},
		{"run -f x -db", "run --file=x --foreground"},
		{"run x.cfg y.cfg", "run --file=x.cfg --file=y.cfg"},
		{"run --listen :3307 --to=a:1,b:2 -n 5", "run --listen=:3307 --to=a:1,b:2 --maxconn=5"},
		{"run -c -f x", "check --terse --file=x"},
		{"check --json -f x -dW", "check --json --file=x --zero-warning"},
		{"check x.cfg", "check --file=x.cfg"},
		{"check --file x.cfg", "check --file=x.cfg"},
		{"check -h", "check --help"},
		{"version", "version"},
		{"version -vv", "version --form=full"},
		{"help", "help"},
		{"--help", "help"},
		{"-h", "help"},
		{"help check more", "help check"},
		{"help nonsense", "help"},
	} {
		got, err := normalise(strings.Fields(test.args))
		if err != nil {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		if diff := cmp.Diff(strings.Fields(test.want), got); diff != "" {
			t.Errorf("%s: %s", test.args, diff)
		}
	}
}

func TestNormaliseKeepsWordsWhole(t *testing.T) {
	got, err := normalise([]string{"-f", "a b=c --x", "-L", "", "-cc", "streq(\"a b\",c) && 1"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"condition", "--expression=streq(\"a b\",c) && 1"}, got); diff != "" {
		t.Error(diff)
	}
	got, err = normalise([]string{"-f", "a b=c --x", "-L", ""})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"run", "--file=a b=c --x", "--local-peer="}, got); diff != "" {
		t.Error(diff)
	}
}

func TestNormaliseRefuses(t *testing.T) {
	for _, args := range []string{
		"foo",
		"-",
		"-z",
		"-f",
		"-c -f",
		"-n",
		"-Vx",
		"-dQ",
		"-cc",
		"-S",
		"-x",
		"-sf abc",
		"-sf 0",
		"-st 12 -3 x",
		"-st 99999999999999999999",
		"-sf 1 a.cfg",
		"--file=x",
		"-f x --json",
		"version extra",
		"run --listen",
		"run -h1",
	} {
		got, err := normalise(strings.Fields(args))
		var usage *usageError
		if !errors.As(err, &usage) {
			t.Errorf("%s: got %q, %v, want a usage error", args, got, err)
		}
	}
}
