//go:build baddays

package baddays

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBadDays runs each day by itself: all of them hurt the one operator there is.
func TestBadDays(t *testing.T) {
	node := open(t)
	for _, day := range []struct {
		name string
		run  func(*world)
	}{
		{"rolling_restart_of_both", rollingRestart},
		{"operator_killed_20_times", operatorKilled},
		{"api_server_away_2_minutes", serverAway},
		{"gateway_restarted_without_operator", gatewayAlone},
		{"no_gateway", noGateway},
		{"leader_killed", leaderKilled},
		{"leader_ends", leaderEnds},
		{"gateway_never_acknowledges", gatewaySilent},
		{"watches_expire", watchesExpire},
		{"ingress_deleted_while_probed", deletedWhileProbed},
		{"service_with_another_port", anotherPort},
		{"nonsense_in_config_maps", nonsense},
		{"one_permission_missing", permissionMissing},
		{"operators_of_two_builds", twoBuilds},
		{"other_classes_untouched", otherClasses},
		{"evictions", evictions},
		{"definition_missing_at_start", definitionMissing},
	} {
		t.Run(day.name, func(t *testing.T) {
			w := node.on(t)
			began := time.Now()
			w.Cleanup(func() {
				// After all else was cleaned up: the next day begins with a whole Sluice.
				w.heal(began)
				w.row(day.name, began)
			})
			w.healthy()
			day.run(w)
		})
	}
}

// row of the table: what became of a day, and its figures.
func (w *world) row(name string, began time.Time) {
	result := "passed"
	if w.Failed() {
		result = "FAILED"
	}
	fmt.Printf("| %s | %s | %.0f s | %s |\n", strings.ReplaceAll(name, "_", " "), result,
		time.Since(began).Seconds(), strings.Join(w.figures, "; "))
}
