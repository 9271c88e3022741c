"""What `pstn-bridge doctor` looks at: each check says what it found, and what to do if that is not well."""
