r"""A node of a DICOM network: studies come in by themselves, results go back by themselves.

Nothing is ever held in memory alone. A study is a folder, and where the folder lies says how
far it is; every step from one place to the next is one rename (`folders`)::

    scp    (C-STORE)  \                                              / dicom (C-STORE)
    web    (STOW-RS)   > intake -> incoming -> queued -> processing -> sending -> done
    pull   (QIDO/WADO)/            schedule            worker          send  \    failed

`service` starts the parts and stops them. The model runs in a process of its own (`worker`),
never inside an association.
"""
