package scaffold_test

import "testing"

// Whatever a Prometheus and an Alertmanager hold: what is made of it is read without a mistake.
func FuzzFound(f *testing.F) {
	for i, one := range strangers {
		f.Add(one, strangers[(i+7)%len(strangers)], "")
	}
	f.Add("ErrorRateSpike", "honeylink-api", "people")
	f.Fuzz(func(t *testing.T, name, value, receiver string) {
		files, _ := filesOf(t, house(t, []string{name, "Other"}, []string{value, name}, receiver), "service", "environment")
		checked(t, files)
	})
}
