package cluster

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// starting says whether a right may seem to be missing only because the API server has just begun: until it has read its
// Roles it refuses everybody everything, and is not ready. Whoever has an identity may ask whether it is.
func (c *Cluster) starting() bool {
	_, err := c.raw(context.Background(), "/readyz", nil) // the refused call's own time may be over
	var status apierrors.APIStatus
	return err != nil && (!errors.As(err, &status) || status.Status().Code != http.StatusNotFound)
}
