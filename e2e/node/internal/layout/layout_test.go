package layout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFoldersLieBelowTheCache(t *testing.T) {
	base := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", base)
	folders, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := filepath.EvalSymlinks(base)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(resolved, "sluice", "node"); folders.Cache != want {
		t.Errorf("cache is %s, expected %s", folders.Cache, want)
	}
}

func TestLinksAreFollowedThoughTheRestIsNotThere(t *testing.T) {
	base := t.TempDir()
	if err := os.Symlink("/run", filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(base, "link", "not", "there"))
	if folders, err := Find(); err == nil || !strings.Contains(err.Error(), "hides") {
		t.Errorf("%+v, %v: expected a refusal, as the node hides /run", folders, err)
	}
}

func TestWhereANodeCannotBe(t *testing.T) {
	for _, refused := range []struct{ cache, word string }{
		{"/var/lib/somewhere", "hides"},
		{"/" + strings.Repeat("long", 30), "too long"},
	} {
		t.Setenv("XDG_CACHE_HOME", refused.cache)
		if _, err := Find(); err == nil || !strings.Contains(err.Error(), refused.word) {
			t.Errorf("%s: %v, expected a refusal with %q", refused.cache, err, refused.word)
		}
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if _, err := Find(); err == nil {
		t.Error("found folders with neither variable set")
	}
}

// Two nodes of one machine are those of two cache folders.
func TestEachCacheFolderHasACgroupOfItsOwn(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	find := func(cache string) string {
		t.Setenv("XDG_CACHE_HOME", cache)
		folders, err := Find()
		if err != nil {
			t.Fatal(err)
		}
		return folders.Cgroup()
	}
	if found := find(""); found != "/sluice-node" {
		t.Errorf("the default folder's is %s, expected /sluice-node", found)
	}
	if found := find(filepath.Join(home, ".cache")); found != "/sluice-node" {
		t.Errorf("the default folder's, named, is %s, expected /sluice-node", found)
	}
	one, other := find(filepath.Join(home, "one")), find(filepath.Join(home, "other"))
	if one == other || !strings.HasPrefix(one, "/sluice-node-") || !strings.HasPrefix(other, "/sluice-node-") {
		t.Errorf("those of two other folders are %s and %s, expected two below /sluice-node-", one, other)
	}
	if again := find(filepath.Join(home, "one")); again != one {
		t.Errorf("found %s again as %s", one, again)
	}
}
