"""What turns a teacher's opinion into labels: small named rules, in order, each of which can be switched off."""
