def write_phantom(spec, out):
    raise NotImplementedError
