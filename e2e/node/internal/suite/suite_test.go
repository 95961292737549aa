package suite

import (
	"path/filepath"
	"strings"
	"testing"
)

// Programs lie in one folder, each by the last part of its own.
func TestNoTwoSuitesHaveAProgramOfOneName(t *testing.T) {
	seen := map[string]string{}
	for _, folder := range Folders() {
		name := filepath.Base(folder)
		if other, ok := seen[name]; ok {
			t.Errorf("%s and %s", other, folder)
		}
		seen[name] = folder
	}
}

func TestASuiteTakesTheSettingsOfAllOthersAway(t *testing.T) {
	found, err := Find("e2e/gc")
	if err != nil {
		t.Fatal(err)
	}
	change := found.Change()
	if value := change["config-gc"]["max-non-active-revisions"]; value == nil || *value != "0" {
		t.Errorf("its own: %v", value)
	}
	for _, key := range []string{"secure-pod-defaults", "multi-container-probing"} {
		if value, ok := change["config-features"][key]; !ok || value != nil {
			t.Errorf("%s of another: %v, %v; expected nil", key, value, ok)
		}
	}
	for configuration, settings := range None().Change() {
		for key, value := range settings {
			if value != nil {
				t.Errorf("%s %s between suites: %s", configuration, key, *value)
			}
		}
	}
}

func TestASuiteThatIsNotThereIsRefusedWithThoseThatAre(t *testing.T) {
	if _, err := Find("e2e/none"); err == nil || !strings.Contains(err.Error(), "e2e/none") || !strings.Contains(err.Error(), "e2e/gc") {
		t.Errorf("%v", err)
	}
}
