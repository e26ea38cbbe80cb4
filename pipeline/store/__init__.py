"""The cache: artifacts, keys, locks and the run log. It knows nothing of images, keypoints or nets.

Its packages form one line; each may import those after it, never one before it:

    run -> cleanup -> hdf5 -> keys -> workspace
"""
