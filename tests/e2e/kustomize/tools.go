//go:build tools

// Package tools fixes the version of kustomize that the tests build: by this import, go.mod and go.sum name all of it.
package tools

import _ "sigs.k8s.io/kustomize/kustomize/v5"
