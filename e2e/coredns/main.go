// CoreDNS with the plugins that a cluster's DNS needs and no others: the whole of
// it brings the clients of every cloud, and builds five times as long.
//
// Reads: the Corefile named by -conf.
// Gives: CoreDNS, as its own main would.
// Never: a plugin that the Corefile of the node does not name.
package main

import (
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"

	"github.com/coredns/coredns/coremain"
)

func main() {
	coremain.Run()
}
