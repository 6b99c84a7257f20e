"""Make the default model: pack cases, draw lesions into them, train, calibrate, export."""
