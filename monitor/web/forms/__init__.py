"""What people type: the fields of forms and addresses, filters, arguments and times."""
