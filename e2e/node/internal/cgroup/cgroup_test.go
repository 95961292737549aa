package cgroup

import (
	"reflect"
	"testing"
)

func TestEveryHierarchyIsFoundOnce(t *testing.T) {
	const hybrid = `43 42 254:0 / / rw shared:1 - ext4 /dev/vda rw
47 46 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
48 47 0:29 / /sys/fs/cgroup/cpuset rw shared:7 master:2 - cgroup cgroup rw,cpuset
49 47 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
50 47 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
a line of another form
`
	want := []hierarchy{
		{path: "/sys/fs/cgroup/cpuset", options: []string{"rw", "cpuset"}},
		{path: "/sys/fs/cgroup/unified", unified: true, options: []string{"rw"}},
	}
	if found := parse(hybrid); !reflect.DeepEqual(found, want) {
		t.Errorf("found %+v, expected %+v", found, want)
	}
	if found := parse(""); found != nil {
		t.Errorf("found %+v in an empty table", found)
	}
}
