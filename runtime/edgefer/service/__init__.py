"""Running under a service manager: telling it that we live, a health file, the unit itself. No package is needed for it."""
