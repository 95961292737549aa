package step

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestAStepHasItsLineOrItsError(t *testing.T) {
	var out strings.Builder
	progress := Begin(&out)
	if err := progress.Do("etcd", func() (string, error) { return "ready", nil }); err != nil {
		t.Fatal(err)
	}
	if want := regexp.MustCompile(`^ +0\.\ds  etcd +ready \(0\.\ds\)\n$`); !want.MatchString(out.String()) {
		t.Errorf("line %q is not of the form %s", out.String(), want)
	}
	out.Reset()
	err := progress.Do("etcd", func() (string, error) { return "ready", errors.New("no disk") })
	if err == nil || err.Error() != "etcd: no disk" || out.Len() != 0 {
		t.Errorf("error %v, line %q", err, out.String())
	}
}

func TestTheClockGoesOnInTheNextProgram(t *testing.T) {
	first := Begin(nil)
	name, value, _ := strings.Cut(first.Environment(), "=")
	t.Setenv(name, value)
	if second := Begin(nil); !second.started.Equal(first.started.Round(0)) {
		t.Errorf("started %s, expected %s", second.started, first.started)
	}
}
