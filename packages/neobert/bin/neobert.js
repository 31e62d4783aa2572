#!/usr/bin/env node
// npm links a package's program when it installs it, before the sources are compiled: hence this file that is always there.
import "../dist/cli/main.js";
