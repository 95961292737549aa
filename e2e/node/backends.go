package main

import (
	"context"
	"path/filepath"

	"sluice/e2e/node/internal/cluster"
	"sluice/e2e/node/internal/layout"
	"sluice/e2e/node/internal/pki"
)

// backends switches between backends in plain text and backends that speak TLS, as
// Knative's suite can have either: for TLS it is told of Secrets, which are made here,
// by UPSTREAM_TLS_CERT, UPSTREAM_CA_CERT and SERVER_NAME.
func backends(ctx context.Context, folders layout.Folders, arguments []string) error {
	return inNetwork(folders, "backends", arguments, func(kind string) error {
		api, err := cluster.Open(folders.Kubeconfig())
		if err != nil {
			return err
		}
		switch kind {
		case "plain":
			return api.PlainBackends(ctx)
		case "tls":
			authority, err := pki.OpenAuthority(filepath.Join(folders.Configuration(), "backends"))
			if err != nil {
				return err
			}
			shown, err := authority.Issue("backend", pki.Subject{User: "backend", Names: cluster.BackendNames})
			if err != nil {
				return err
			}
			return api.TLSBackends(ctx, authority.Certificate, shown)
		}
		return errUsage
	})
}
